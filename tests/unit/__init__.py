"""No I/O: values, functions, fakes; seconds in all."""
