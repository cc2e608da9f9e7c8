"""The tools, resources and prompts of MCP, over a gateway from outside or from inside. Needs the extra `mcp`."""
