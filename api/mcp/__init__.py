"""MCP on the gateway: `/mcp`, over streamable HTTP."""
