"""The pictures of the report: pure functions from series to inline SVG."""
