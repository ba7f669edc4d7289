"""`make lab`: the live page with hands, on loopback, beside the running stack."""
