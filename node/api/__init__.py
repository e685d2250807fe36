"""The HTTP API of a node: aiohttp routes over `facade.NodeFacade`, each with a policy that stands in its route."""
