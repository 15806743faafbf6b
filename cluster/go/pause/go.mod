module vision-node.dev/pause

go 1.26.0
