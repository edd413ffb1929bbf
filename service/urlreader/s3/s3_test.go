package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/urlreader/s3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// serve starts a server of the S3 protocol that has a bucket with objects.
func serve(t *testing.T, objects map[string]string) string {
	t.Helper()
	store := gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog()))
	server := httptest.NewServer(store.Server())
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := awss3.New(awss3.Options{
		BaseEndpoint: aws.String(server.URL), UsePathStyle: true, Region: "us-east-1", HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("me", "secret", ""),
	})
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("shop")}); err != nil {
		t.Fatal(err)
	}
	for key, content := range objects {
		_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("shop"), Key: aws.String(key), Body: bytes.NewReader([]byte(content))})
		if err != nil {
			t.Fatal(err)
		}
	}
	return server.URL
}

func newReader(t *testing.T, more object, stores ...any) service.URLReader {
	t.Helper()
	var reader service.URLReader
	config := object{"integrations": object{"awsS3": stores}, "backend": object{"reading": more}}
	backendtest.Start(t, s3.Source(), backendtest.Config(config), plugin.New("test", plugin.Init(func(r service.URLReader) { reader = r })))
	return reader
}

func minio(url string) object {
	return object{"endpoint": url, "s3ForcePathStyle": true, "accessKeyId": "me", "secretAccessKey": "secret"}
}

func TestRead(t *testing.T) {
	url := serve(t, map[string]string{"docs/index.md": "# Docs", "docs/a b/c.md": "c", "docs2/x.md": "x"})
	reader := newReader(t, object{}, minio(url))
	file, err := reader.ReadURL(t.Context(), url+"/shop/docs/index.md", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := file.Bytes(); err != nil || string(content) != "# Docs" || file.LastModified.IsZero() {
		t.Errorf("%q, %v, %s", content, err, file.LastModified)
	}
	if _, err := reader.ReadURL(t.Context(), url+"/shop/docs/index.md", service.URLReadOptions{ETag: file.ETag}); !errors.Is(err, service.NotModifiedError) {
		t.Errorf("with the ETag %s: %v", file.ETag, err)
	}
	for _, missing := range []string{"/shop/docs/other.md", "/other/docs/index.md"} {
		if _, err := reader.ReadURL(t.Context(), url+missing, service.URLReadOptions{}); !errors.Is(err, service.NotFoundError) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", missing, err)
		}
	}

	tree, err := reader.ReadTree(t.Context(), url+"/shop/docs", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	got := map[string]string{}
	for file, err := range tree.Files() {
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(file.Body)
		if err != nil {
			t.Fatal(err)
		}
		got[file.Path] = string(content)
	}
	if len(got) != 2 || got["index.md"] != "# Docs" || got["a b/c.md"] != "c" {
		t.Errorf("the tree has %q", got)
	}

	found, err := reader.Search(t.Context(), url+"/shop/docs/**/*.md", service.URLReadOptions{})
	if err != nil || len(found.Files) != 2 || found.Files[0].URL != url+"/shop/docs/a%20b/c.md" {
		t.Fatalf("found %+v, %v", found, err)
	}
	if content, err := found.Files[0].Content(context.Background()); err != nil || string(content) != "c" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestLimits(t *testing.T) {
	url := serve(t, map[string]string{"docs/a": "12345678901", "few/a": "1234567890", "few/b": "1", "many/a": "", "many/b": "", "many/c": "", "large/a": "123456789", "large/b": "1234567", "large/c": ""})
	reader := newReader(t, object{"limits": object{"maxFileSize": 10, "maxTreeSize": 15, "maxTreeFiles": 2}}, minio(url))
	file, err := reader.ReadURL(t.Context(), url+"/shop/docs/a", service.URLReadOptions{})
	if err == nil {
		_, err = file.Bytes()
	}
	if !errors.Is(err, service.InputError) {
		t.Errorf("a large file: %v", err)
	}
	for dir, fails := range map[string]bool{"docs": true, "few": false, "many": true, "large": true} {
		tree, err := reader.ReadTree(t.Context(), url+"/shop/"+dir, service.URLReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = tree.Extract(t.TempDir())
		if fails && !errors.Is(err, service.InputError) || !fails && err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		tree.Close()
	}
}
