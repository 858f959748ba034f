package sns

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A signer signs messages with a key of this data directory, made when it is first needed.
// The signatures verify against the certificate that the server serves. No authority vouches
// for it, and it is not at amazonaws.com, which some clients insist on.
type signer struct {
	store *store.Store

	mu struct {
		sync.Mutex
		key         *rsa.PrivateKey
		certificate []byte // DER
	}
}

// signerScope is where the one key of the server is kept.
var signerScope = lambda.Scope{Account: "000000000000", Region: "us-east-1"}

// load returns the key and the certificate.
func (s *signer) load() (*rsa.PrivateKey, []byte, error) {
	s.mu.Lock()
	key, certificate := s.mu.key, s.mu.certificate
	s.mu.Unlock()
	if key != nil {
		return key, certificate, nil
	}
	kept, err := s.kept()
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(kept.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("parse the signing key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("the signing key is a %T", parsed)
	}
	s.mu.Lock()
	s.mu.key, s.mu.certificate = key, kept.Certificate
	s.mu.Unlock()
	return key, kept.Certificate, nil
}

// kept returns the stored key, and makes it if there is none.
func (s *signer) kept() (*store.SigningKey, error) {
	if k, ok := store.SigningKeys.Get(s.store.Catalog().Snapshot(), signerScope, "sns"); ok {
		return k, nil
	}
	made, err := newKey(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	err = s.store.Catalog().Update(context.Background(), func(tx *store.Tx) error {
		if k, ok := store.SigningKeys.Get(tx, signerScope, "sns"); ok {
			made = k // somebody was faster
			return nil
		}
		store.SigningKeys.Put(tx, signerScope, "sns", made)
		return nil
	})
	return made, err
}

func newKey(now time.Time) (*store.SigningKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "sns.weir.local"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(20, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &store.SigningKey{Key: encoded, Certificate: certificate}, nil
}

// sign returns the signature in base64: SHA-1 in version 1, SHA-256 in version 2.
func (s *signer) sign(version string, text []byte) (string, error) {
	key, _, err := s.load()
	if err != nil {
		return "", err
	}
	hash, sum := crypto.SHA1, make([]byte, 0, sha256.Size)
	if version == "2" {
		digest := sha256.Sum256(text)
		hash, sum = crypto.SHA256, append(sum, digest[:]...)
	} else {
		digest := sha1.Sum(text)
		sum = append(sum, digest[:]...)
	}
	signature, err := rsa.SignPKCS1v15(nil, key, hash, sum)
	if err != nil {
		return "", fmt.Errorf("sign a message: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

func (s *signer) pem() ([]byte, error) {
	_, certificate, err := s.load()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), nil
}
