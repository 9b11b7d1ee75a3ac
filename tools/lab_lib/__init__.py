"""The lab: a site of client, box and web servers in network namespaces. tools/lab and tests/system share this package."""
