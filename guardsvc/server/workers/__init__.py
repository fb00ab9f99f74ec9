"""Workers: several processes that decide alike, and the supervisor that starts, feeds and replaces them.

A gateway opens few connections and keeps them, so that a port shared by all could leave a worker idle: each
has an address of its own, and the gateway spreads its calls over them.
"""
