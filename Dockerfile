# The reference agent as a container: slim, not root, and nothing of the harness in it.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# Only what the agent itself needs: the extras' lists, not the harness's dependencies.
RUN python -c "import tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print('\n'.join(extras['agent'] + extras['bedrock'] + extras['redis']))" > requirements.txt \
 && python -m venv /opt/agent \
 && /opt/agent/bin/pip install --no-cache-dir --requirement requirements.txt --constraint constraints.txt

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
RUN useradd --system --create-home --uid 10001 agent
COPY --from=build /opt/agent /opt/agent
COPY reference_agent /app/reference_agent
WORKDIR /app
USER agent
# In a container the port has to be reachable from outside it; sessions belong in a store of their own.
ENV HOST=0.0.0.0 PORT=8080 PYTHONUNBUFFERED=1 AGENT_SESSION_STORE=sqlite:////home/agent/sessions.db
EXPOSE 8080
# It lives: Swarm and ECS replace what is not healthy, and a store that is away is no reason for that. /readyz knows more.
HEALTHCHECK --interval=5s --timeout=2s --start-period=15s \
  CMD ["/opt/agent/bin/python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/livez', timeout=1)"]
# Exec form: the agent is process 1 and gets SIGTERM itself.
ENTRYPOINT ["/opt/agent/bin/python", "-m", "reference_agent"]
