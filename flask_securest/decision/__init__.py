"""A request becomes a verdict, without Flask: the chain is asked, and the rule is held against what it says."""
