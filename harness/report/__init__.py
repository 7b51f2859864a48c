"""How a verdict is told: terminal, HTML page, JSON, JUnit, Markdown, and traces for Jaeger's page."""
