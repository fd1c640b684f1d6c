"""The control plane for people: single sign-on, tokens for API clients, and (later) the pages."""
