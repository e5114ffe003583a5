module github.com/spanguard/spanguard/collector/probe

go 1.26
