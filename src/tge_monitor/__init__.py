"""tge_monitor: a monitor of token generation events, and the reference application of spanguard."""
