package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// keyring is a folder with the cluster's authority and all that it has signed.
type keyring struct {
	folder string
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
}

// holder is who a certificate is for: a user of the API, a server, or both.
type holder struct {
	user   string
	groups []string
	names  []string
	ips    []string
}

// openKeyring makes the authority, or reads the one that was made before.
func openKeyring(folder string) (*keyring, error) {
	k := &keyring{folder: folder}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(k.path("ca.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return k, k.found()
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", k.path("ca.key"))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	k.key = key.(*ecdsa.PrivateKey)
	text, err = os.ReadFile(k.path("ca.crt"))
	if err != nil {
		return nil, err
	}
	if block, _ = pem.Decode(text); block == nil {
		return nil, fmt.Errorf("%s holds no certificate", k.path("ca.crt"))
	}
	k.ca, err = x509.ParseCertificate(block.Bytes)
	return k, err
}

func (k *keyring) path(name string) string { return filepath.Join(k.folder, name) }

// found makes the authority, and the keys that sign service account tokens.
func (k *keyring) found() error {
	tokens, err := k.newKey("sa.key")
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(tokens.Public())
	if err != nil {
		return err
	}
	if err := k.write("sa.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	key, err := k.newKey("ca.key")
	if err != nil {
		return err
	}
	k.key = key
	k.ca = &x509.Certificate{
		Subject:               pkix.Name{CommonName: "test cluster"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return k.sign("ca.crt", k.ca, key)
}

// issue makes NAME.crt and NAME.key, unless they are there.
func (k *keyring) issue(name string, h holder) error {
	if _, err := os.Stat(k.path(name + ".crt")); err == nil {
		return nil
	}
	key, err := k.newKey(name + ".key")
	if err != nil {
		return err
	}
	certificate := &x509.Certificate{
		Subject:     pkix.Name{CommonName: h.user, Organization: h.groups},
		DNSNames:    h.names,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, ip := range h.ips {
		certificate.IPAddresses = append(certificate.IPAddresses, net.ParseIP(ip))
	}
	return k.sign(name+".crt", certificate, key)
}

// kubeconfig writes a configuration that needs no other file, so that it can be
// taken elsewhere.
func (k *keyring) kubeconfig(file, server, user string) error {
	config := api.NewConfig()
	cluster, login := api.NewCluster(), api.NewAuthInfo()
	cluster.Server = server
	for name, into := range map[string]*[]byte{
		"ca.crt":      &cluster.CertificateAuthorityData,
		user + ".crt": &login.ClientCertificateData,
		user + ".key": &login.ClientKeyData,
	} {
		text, err := os.ReadFile(k.path(name))
		if err != nil {
			return err
		}
		*into = text
	}
	config.Clusters["test"] = cluster
	config.AuthInfos[user] = login
	config.Contexts["test"] = &api.Context{Cluster: "test", AuthInfo: user}
	config.CurrentContext = "test"
	return clientcmd.WriteToFile(*config, file)
}

func (k *keyring) newKey(file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, k.write(file, "PRIVATE KEY", text)
}

func (k *keyring) sign(file string, certificate *x509.Certificate, key *ecdsa.PrivateKey) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return err
	}
	certificate.SerialNumber = serial
	certificate.NotBefore = time.Now().Add(-time.Hour)
	certificate.NotAfter = time.Now().AddDate(0, 3, 0)
	text, err := x509.CreateCertificate(rand.Reader, certificate, k.ca, key.Public(), k.key)
	if err != nil {
		return err
	}
	return k.write(file, "CERTIFICATE", text)
}

func (k *keyring) write(file, kind string, content []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	return os.WriteFile(k.path(file), text, 0o600)
}
