module guard-name

go 1.24
