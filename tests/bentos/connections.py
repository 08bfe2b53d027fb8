"""How tests call services that run as processes."""

import httpx

HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
"""Made once, since the certificates that it reads take longer than a request; each request has a connection of its own."""
