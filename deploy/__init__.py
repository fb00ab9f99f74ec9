"""Deploy: what runs guardsvc beside a gateway, and a demonstration of the two together."""
