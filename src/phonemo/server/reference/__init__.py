"""The page for people at /docs, made from the OpenAPI document."""
