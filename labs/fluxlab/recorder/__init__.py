"""The program that watches a cluster and writes each change into the lab's timeline."""
