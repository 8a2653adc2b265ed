"""The command line: parse, call the library, print. Libraries are imported where they are used: help stays fast."""
