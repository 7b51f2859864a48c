"""The start-up hook that makes the model's name one that may lead nowhere; see `sitecustomize.py`."""
