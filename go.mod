module github.com/portico-dev/portico

go 1.26.0

require go.yaml.in/yaml/v3 v3.0.6

require github.com/santhosh-tekuri/jsonschema/v5 v5.3.1
