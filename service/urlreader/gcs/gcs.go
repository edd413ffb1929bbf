// Package gcs reads the objects of Google Cloud Storage by their URLs, like https://storage.cloud.google.com/my-bucket/docs/index.md.
//
// An adopter adds it to a backend:
//
//	b.Add(gcs.Source())
//
// The configuration has Backstage's keys. Without them, the credentials are those of the environment: see
// https://cloud.google.com/docs/authentication/application-default-credentials.
//
//	integrations:
//	  googleGcs:
//	    clientEmail: portal@example.iam.gserviceaccount.com
//	    privateKey: ${GCS_PRIVATE_KEY}
package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"cloud.google.com/go/storage"
	"go.uber.org/fx"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/urlreader"
	"github.com/portico-dev/portico/service/urlreader/bucket"
)

const host = "storage.cloud.google.com"

// Source adds reading from Google Cloud Storage to the service.URLReader of a backend.
func Source() service.Service {
	return service.RootGroup[urlreader.Source](newSource)
}

type source struct {
	*bucket.Reader
	options []option.ClientOption

	mu     sync.Mutex
	client *storage.Client
}

func newSource(cfg service.Config, lifecycle fx.Lifecycle) (*source, error) {
	var settings struct{ ClientEmail, PrivateKey string }
	if err := cfg.Decode("integrations.googleGcs", &settings); err != nil {
		return nil, err
	}
	s := &source{options: []option.ClientOption{option.WithScopes(storage.ScopeReadOnly), storage.WithJSONReads()}}
	if settings.ClientEmail != "" || settings.PrivateKey != "" {
		if settings.ClientEmail == "" || settings.PrivateKey == "" {
			return nil, errors.New("integrations.googleGcs: needs both clientEmail and privateKey, or neither")
		}
		account, err := json.Marshal(map[string]string{
			"type": "service_account", "client_email": settings.ClientEmail,
			"private_key": strings.ReplaceAll(settings.PrivateKey, `\n`, "\n"), "token_uri": "https://oauth2.googleapis.com/token",
		})
		if err != nil {
			return nil, fmt.Errorf("integrations.googleGcs: %w", err)
		}
		s.options = append(s.options, option.WithAuthCredentialsJSON(option.ServiceAccount, account))
	}
	s.Reader = bucket.NewReader(s.locate)
	lifecycle.Append(fx.StopHook(s.close))
	return s, nil
}

// Reads implements urlreader.Source.
func (s *source) Reads(u *url.URL) bool { return u.Host == host }

func (s *source) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	return s.client.Close()
}

// connect makes the client when it is first needed: without credentials in the environment, that fails.
func (s *source) connect() (*storage.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	// The context is that of getting tokens, for all requests to come.
	client, err := storage.NewClient(context.Background(), s.options...)
	if err != nil {
		return nil, fmt.Errorf("there are no credentials for Google Cloud Storage; configure integrations.googleGcs: %w", err)
	}
	s.client = client
	return client, nil
}

func (s *source) locate(u *url.URL) (bucket.Store, string, error) {
	name, key, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if name == "" {
		return nil, "", service.InputError.Errorf("%s is not the URL of an object: it has to be like https://%s/bucket/key", integration.Redact(u), host)
	}
	return &store{s, name}, key, nil
}

// store is a bucket of Google Cloud Storage.
type store struct {
	source *source
	bucket string
}

// Open implements bucket.Store.
func (b *store) Open(ctx context.Context, key string, options service.URLReadOptions) (*service.URLFile, error) {
	client, err := b.source.connect()
	if err != nil {
		return nil, err
	}
	object := client.Bucket(b.bucket).Object(key)
	attributes, err := object.Attrs(ctx)
	if err != nil {
		return nil, failure(err)
	}
	if attributes.Etag == options.ETag || !options.LastModifiedAfter.IsZero() && !attributes.Updated.After(options.LastModifiedAfter) {
		return nil, service.NotModifiedError.Errorf("the object has not changed")
	}
	reader, err := object.Generation(attributes.Generation).NewReader(ctx)
	if err != nil {
		return nil, failure(err)
	}
	return &service.URLFile{Body: reader, ETag: attributes.Etag, LastModified: attributes.Updated}, nil
}

// List implements bucket.Store.
func (b *store) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		client, err := b.source.connect()
		if err != nil {
			yield(bucket.Object{}, err)
			return
		}
		query := &storage.Query{Prefix: prefix}
		if err := query.SetAttrSelection([]string{"Name", "Size", "Etag", "Updated"}); err != nil {
			yield(bucket.Object{}, fmt.Errorf("listing objects: %w", err))
			return
		}
		objects := client.Bucket(b.bucket).Objects(ctx, query)
		for {
			attributes, err := objects.Next()
			if errors.Is(err, iterator.Done) {
				return
			}
			if err != nil {
				yield(bucket.Object{}, failure(err))
				return
			}
			if !yield(bucket.Object{Key: attributes.Name, Size: attributes.Size, ETag: attributes.Etag, LastModified: attributes.Updated}, nil) {
				return
			}
		}
	}
}

// failure is an error of Google Cloud Storage as service.URLReader has it.
func failure(err error) error {
	if errors.Is(err, storage.ErrObjectNotExist) || errors.Is(err, storage.ErrBucketNotExist) {
		return service.NotFoundError.Errorf("Google Cloud Storage has no such object or bucket")
	}
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("Google Cloud Storage can't be read: %w", err)
	}
	switch answer.Code {
	case http.StatusNotFound:
		return service.NotFoundError.Errorf("Google Cloud Storage has no such object or bucket")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return service.ServiceUnavailableError.Errorf("Google Cloud Storage asks to come back later (%d)", answer.Code)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("Google Cloud Storage refuses the credentials (%d): look whether they may list and read the bucket", answer.Code)
	}
	return fmt.Errorf("Google Cloud Storage answered %d %s", answer.Code, http.StatusText(answer.Code))
}
