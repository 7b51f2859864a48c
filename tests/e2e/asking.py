"""What tests ask HTTP servers by: one client, for `httpx.get` reads the machine's certificates at each call.

That is 20 ms of CPU, which a test that polls spends fifty times a second.
"""

from typing import Final

import httpx

HTTP: Final = httpx.Client(
    trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
)
"""It keeps no connection: the servers of tests come and go."""
