package urlreader

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// encoded is content within JSON.
type encoded struct {
	Encoding string `json:"encoding"`
	Content  string `json:"content"`
}

func (e encoded) decode(t target) ([]byte, error) {
	if e.Encoding != "base64" {
		return nil, fmt.Errorf("%s: the answer has the encoding %q instead of base64", t.subject, e.Encoding)
	}
	content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(e.Content, "\n", ""))
	if err != nil {
		return nil, fmt.Errorf("%s: the answer is not encoded by base64: %w", t.subject, err)
	}
	return content, nil
}
