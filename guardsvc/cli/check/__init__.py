"""``guardsvc check``: messages judged without a gateway, by the same path as a gateway's."""
