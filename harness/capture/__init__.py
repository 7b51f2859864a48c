"""Receives what every process of a fleet tells over OTLP, and decodes it once the run is over."""
