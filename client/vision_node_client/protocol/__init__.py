"""The protocol between client and server, without any input or output.

Everything that both clients do is here, once. `calls` builds requests and reads responses. `flows`
are generators that yield steps, such as sending a request, and get the result of each. A client
only performs the steps.
"""
