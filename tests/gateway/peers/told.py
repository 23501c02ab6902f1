"""A control plane that says what it is told: a line for each change, in Python's words.

told.py PORT: reads `KIND [TTL] = EXPRESSION` (bytes by name, made of what wire.py has) and prints
`ack KIND` and `nack KIND WHAT`.
"""
import sys

import wire
from discovery import Plane

plane = Plane(lambda kind, error: print(f"nack {kind} {error}" if error else f"ack {kind}"))
server = plane.serve(int(sys.argv[1]))
for line in sys.stdin:
    of, expression = line.split("=", 1)
    kind, *ttl = of.split()
    plane.put(kind, eval(expression, vars(wire)), int(ttl[0]) if ttl else None)
