module fluxlab.local/workload/standin

go 1.26.0
