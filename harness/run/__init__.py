"""One run from its plan to its report; `pipeline.py` is the page that calls every stage in order."""
