"""Models on a hub: fetched whole and checked, pushed with their card."""
