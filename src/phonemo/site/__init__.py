"""The page of ``phonemo serve`` as a static site, which recognizes in the visitor's browser."""
