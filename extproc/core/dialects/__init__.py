"""API surfaces: what a request asks for, where the text of a response stands, and how an error looks in each."""
