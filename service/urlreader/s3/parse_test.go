package s3

import (
	"net/url"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	amazon, path := settings{host: amazonHost}, settings{host: amazonHost, S3ForcePathStyle: true}
	minio, minioPath := settings{host: "minio.test:9000"}, settings{host: "minio.test:9000", S3ForcePathStyle: true}
	tests := []struct {
		store settings
		url   string
		want  [3]string // bucket, region, key
	}{
		{amazon, "https://shop.s3.eu-central-1.amazonaws.com/a/b", [3]string{"shop", "eu-central-1", "a/b"}},
		{amazon, "https://shop.s3.amazonaws.com/a%20b", [3]string{"shop", "us-east-1", "a b"}},
		{amazon, "https://my.shop.s3-eu-west-1.amazonaws.com/a", [3]string{"my.shop", "eu-west-1", "a"}},
		{amazon, "https://s3.eu-central-1.amazonaws.com/shop/a/b", [3]string{"shop", "eu-central-1", "a/b"}},
		{amazon, "https://s3.cn-north-1.amazonaws.com.cn/shop/a", [3]string{"shop", "cn-north-1", "a"}},
		{amazon, "https://shop.bucket.vpce-1-a.s3.us-east-2.vpce.amazonaws.com/a", [3]string{"shop", "us-east-2", "a"}},
		{path, "https://s3.eu-central-1.amazonaws.com/shop/a", [3]string{"shop", "eu-central-1", "a"}},
		{minio, "http://shop.minio.test:9000/a/b", [3]string{"shop", "us-east-1", "a/b"}},
		{minio, "http://minio.test:9000/shop/a/b", [3]string{"shop", "us-east-1", "a/b"}},
		{minioPath, "http://minio.test:9000/shop/a/b", [3]string{"shop", "us-east-1", "a/b"}},
		{amazon, "https://ec2.amazonaws.com/a", [3]string{}},
		{amazon, "https://s3.amazonaws.com/", [3]string{}},
	}
	for _, test := range tests {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		bucket, region, key, err := test.store.parse(u)
		if got := [3]string{bucket, region, key}; got != test.want || (err != nil) != (test.want == [3]string{}) {
			t.Errorf("%s is %q, %v; want %q", test.url, got, err, test.want)
		}
	}
}
