"""Simulated commerce: customers with habits, merchants, seasons, attackers. It knows no clock but its own.

Training reads it day by day as fast as it can; a load generator maps its seconds to its own. Needs numpy alone.
"""
