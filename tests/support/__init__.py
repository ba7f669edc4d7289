"""What the tests on the real stack share; black box, as tests/system is."""
