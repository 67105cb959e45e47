"""Tools that recognize emotions, for ``phonemo mcp`` (Model Context Protocol)."""
