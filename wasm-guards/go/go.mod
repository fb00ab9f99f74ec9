module forbidden-text

go 1.24
