// Package s3 reads the objects of Amazon S3, and of stores that speak its protocol, by their URLs.
//
// An adopter adds it to a backend:
//
//	b.Add(s3.Source())
//
// URLs are those of S3, in both styles:
//
//	https://my-bucket.s3.eu-central-1.amazonaws.com/docs/index.md
//	https://s3.eu-central-1.amazonaws.com/my-bucket/docs/index.md
//
// The configuration has Backstage's keys. Without any, buckets at amazonaws.com are read with the credentials of the environment: see
// https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html.
//
//	integrations:
//	  awsS3:
//	    - endpoint: http://minio.example.com:9000   # default: Amazon's
//	      s3ForcePathStyle: true                    # the bucket is in the path
//	      accessKeyId: ${AWS_ACCESS_KEY_ID}
//	      secretAccessKey: ${AWS_SECRET_ACCESS_KEY}
//	      roleArn: arn:aws:iam::xxxxxxxxxxxx:role/example-role
//	      externalId: some-id
package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/urlreader"
	"github.com/portico-dev/portico/service/urlreader/bucket"
)

const (
	amazonHost    = "amazonaws.com"
	defaultRegion = "us-east-1"
)

// Source adds reading from S3 to the service.URLReader of a backend.
func Source() service.Service {
	return service.RootGroup[urlreader.Source](newSource)
}

// settings is an entry of integrations.awsS3.
type settings struct {
	Endpoint         string
	S3ForcePathStyle bool   `config:"s3ForcePathStyle"`
	AccessKeyID      string `config:"accessKeyId"`
	SecretAccessKey  string
	RoleARN          string `config:"roleArn"`
	ExternalID       string `config:"externalId"`

	host string
}

type source struct {
	*bucket.Reader
	stores []settings

	mu      sync.Mutex
	clients map[clientKey]*s3.Client
}

type clientKey struct {
	store  int
	region string
}

func newSource(cfg service.Config) (*source, error) {
	s := &source{clients: map[clientKey]*s3.Client{}}
	if err := cfg.Decode("integrations.awsS3", &s.stores); err != nil {
		return nil, err
	}
	amazon := false
	for i := range s.stores {
		one := &s.stores[i]
		one.SecretAccessKey = strings.TrimSpace(one.SecretAccessKey)
		one.host = amazonHost
		if one.Endpoint != "" {
			u, err := integration.ParseURL(one.Endpoint)
			if err != nil || strings.Trim(u.Path, "/") != "" {
				return nil, fmt.Errorf("integrations.awsS3[%d].endpoint: must be a URL without a path", i)
			}
			one.host = u.Host
		}
		if (one.AccessKeyID == "") != (one.SecretAccessKey == "") {
			return nil, fmt.Errorf("integrations.awsS3[%d]: needs both accessKeyId and secretAccessKey, or neither", i)
		}
		amazon = amazon || one.host == amazonHost
	}
	if !amazon {
		s.stores = append(s.stores, settings{host: amazonHost})
	}
	s.Reader = bucket.NewReader(s.locate)
	return s, nil
}

// Reads implements urlreader.Source.
func (s *source) Reads(u *url.URL) bool { return s.find(u) >= 0 }

// find is the index of the store of a URL, or -1.
func (s *source) find(u *url.URL) int {
	for i, one := range s.stores {
		if u.Host == one.host || strings.HasSuffix(u.Host, "."+one.host) || one.host == amazonHost && strings.HasSuffix(u.Host, ".amazonaws.com.cn") {
			return i
		}
	}
	return -1
}

var (
	amazonURL = regexp.MustCompile(`^(?:([a-z0-9.-]+)\.)?s3(?:[.-]([a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?$`)
	vpcURL    = regexp.MustCompile(`^([a-z0-9.-]+)\.bucket\.vpce-[a-z0-9-]+\.s3[.-]([a-z0-9-]+)\.vpce\.amazonaws\.com(?:\.cn)?$`)
)

// parse takes a URL apart.
func (one settings) parse(u *url.URL) (name, region, key string, err error) {
	wrong := service.InputError.Errorf("%s is not the URL of an object: it has to be like https://bucket.s3.region.amazonaws.com/key", integration.Redact(u))
	key, region = strings.TrimPrefix(u.Path, "/"), defaultRegion
	if one.host != amazonHost {
		name = strings.TrimSuffix(strings.TrimSuffix(u.Host, one.host), ".")
		if one.S3ForcePathStyle {
			name = ""
		}
	} else if m := vpcURL.FindStringSubmatch(u.Host); m != nil {
		name, region = m[1], m[2]
	} else if m := amazonURL.FindStringSubmatch(u.Host); m != nil {
		if !one.S3ForcePathStyle {
			name = m[1]
		}
		if m[2] != "" {
			region = m[2]
		}
	} else {
		return "", "", "", wrong
	}
	if name == "" {
		name, key, _ = strings.Cut(key, "/")
	}
	if name == "" {
		return "", "", "", wrong
	}
	return name, region, key, nil
}

func (s *source) locate(u *url.URL) (bucket.Store, string, error) {
	n := s.find(u)
	if n < 0 {
		return nil, "", service.NotAllowedError.Errorf("%s belongs to no integration", integration.Redact(u))
	}
	name, region, key, err := s.stores[n].parse(u)
	if err != nil {
		return nil, "", err
	}
	return &store{source: s, key: clientKey{n, region}, bucket: name}, key, nil
}

// client is that of a store in a region.
func (s *source) client(ctx context.Context, key clientKey) (*s3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[key]; c != nil {
		return c, nil
	}
	one := s.stores[key.store]
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRegion(key.region),
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient()),
	}
	if one.AccessKeyID != "" {
		options = append(options, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(one.AccessKeyID, one.SecretAccessKey, "")))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of AWS: %w", err)
	}
	if one.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), one.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "portico"
			if one.ExternalID != "" {
				o.ExternalID = aws.String(one.ExternalID)
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(role)
	}
	c := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = one.S3ForcePathStyle
		if one.Endpoint != "" {
			o.BaseEndpoint = aws.String(one.Endpoint)
		}
	})
	s.clients[key] = c
	return c, nil
}

// store is a bucket of S3.
type store struct {
	source *source
	key    clientKey
	bucket string
}

// Open implements bucket.Store.
func (b *store) Open(ctx context.Context, key string, options service.URLReadOptions) (*service.URLFile, error) {
	client, err := b.source.client(ctx, b.key)
	if err != nil {
		return nil, err
	}
	input := &s3.GetObjectInput{Bucket: aws.String(b.bucket), Key: aws.String(key)}
	if options.ETag != "" {
		input.IfNoneMatch = aws.String(options.ETag)
	}
	if !options.LastModifiedAfter.IsZero() {
		input.IfModifiedSince = aws.Time(options.LastModifiedAfter)
	}
	output, err := client.GetObject(ctx, input)
	if err != nil {
		return nil, failure(err)
	}
	return &service.URLFile{Body: output.Body, ETag: aws.ToString(output.ETag), LastModified: aws.ToTime(output.LastModified)}, nil
}

// List implements bucket.Store.
func (b *store) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		client, err := b.source.client(ctx, b.key)
		if err != nil {
			yield(bucket.Object{}, err)
			return
		}
		pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(b.bucket), Prefix: aws.String(prefix)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(bucket.Object{}, failure(err))
				return
			}
			for _, o := range page.Contents {
				if !yield(bucket.Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag), LastModified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// failure is an error of S3 as service.URLReader has it.
func failure(err error) error {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return fmt.Errorf("S3 can't be read: %w", err)
	}
	switch answer.HTTPStatusCode() {
	case http.StatusNotModified:
		return service.NotModifiedError.Errorf("the object has not changed")
	case http.StatusNotFound:
		return service.NotFoundError.Errorf("S3 has no such object or bucket")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return service.ServiceUnavailableError.Errorf("S3 asks to come back later (%d)", answer.HTTPStatusCode())
	case http.StatusForbidden:
		return fmt.Errorf("S3 refuses the credentials (403): look whether they may list and read the bucket")
	}
	return fmt.Errorf("S3 answered %d %s", answer.HTTPStatusCode(), http.StatusText(answer.HTTPStatusCode()))
}
