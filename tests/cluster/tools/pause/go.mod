module tributary.dev/tools/pause

go 1.21
