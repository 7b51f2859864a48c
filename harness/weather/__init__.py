"""Weather between containers and what they call: `proxy` passes bytes on, `kinds/` says what befalls them."""
