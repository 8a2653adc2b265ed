module fluxlab.local/workload/agent

go 1.26.0
