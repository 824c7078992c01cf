package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/peerpool/peerpool/examples/internal/certs"
	"github.com/peerpool/peerpool/examples/internal/server"
)

// cluster is an API server and its etcd.
type cluster struct {
	url   string
	ca    *certs.CA
	audit string // the path of the file with a line for each call

	processes []*server.Process
}

// startCluster runs both on loopback, with their files in dir.
func startCluster(ctx context.Context, etcd, apiserver, dir string) (*cluster, error) {
	ca, err := certs.NewCA()
	if err != nil {
		return nil, err
	}
	c := &cluster{ca: ca, audit: filepath.Join(dir, "audit.log")}
	storage, err := c.startEtcd(ctx, etcd, filepath.Join(dir, "etcd"))
	if err == nil {
		err = c.startAPIServer(ctx, apiserver, dir, storage)
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// stop ends both, the API server first.
func (c *cluster) stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Stop()
	}
}

func (c *cluster) start(ctx context.Context, cmd *exec.Cmd, ready func(context.Context) error) error {
	process, err := server.Start(ctx, cmd, ready)
	if err == nil {
		c.processes = append(c.processes, process)
	}
	return err
}

func (c *cluster) startEtcd(ctx context.Context, path, dir string) (url string, err error) {
	clients, err := server.FreeAddr()
	if err != nil {
		return "", err
	}
	peers, err := server.FreeAddr()
	if err != nil {
		return "", err
	}
	url = "http://" + clients
	cmd := exec.Command(path, "--name=example", "--data-dir="+dir,
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls=http://"+peers, "--initial-advertise-peer-urls=http://"+peers,
		"--initial-cluster=example=http://"+peers)
	return url, c.start(ctx, cmd, server.Answering(url+"/health"))
}

// startAPIServer runs the API server. It accepts the client certificates of the authority. The group system:masters may do
// everything, so no other authorization is needed.
func (c *cluster) startAPIServer(ctx context.Context, path, dir, storage string) error {
	addr, err := server.FreeAddr()
	if err != nil {
		return err
	}
	c.url = "https://" + addr
	if err := c.writeFiles(dir); err != nil {
		return err
	}
	host, port := addr[:len("127.0.0.1")], addr[len("127.0.0.1:"):]
	file := func(name string) string { return filepath.Join(dir, name) }
	cmd := exec.Command(path,
		"--etcd-servers="+storage,
		"--bind-address="+host, "--secure-port="+port,
		"--tls-cert-file="+file("server.crt"), "--tls-private-key-file="+file("server.key"),
		"--client-ca-file="+file("ca.crt"), "--authentication-skip-lookup",
		"--kubeconfig="+file("kubeconfig"), "--authentication-kubeconfig="+file("kubeconfig"),
		"--authorization-kubeconfig="+file("kubeconfig"),
		"--audit-log-path="+c.audit, "--audit-policy-file="+file("audit.yaml"),
		"--enable-priority-and-fairness=false",
		"--disable-admission-plugins=NamespaceLifecycle,MutatingAdmissionPolicy,MutatingAdmissionWebhook,"+
			"ValidatingAdmissionPolicy,ValidatingAdmissionWebhook")
	cmd.Dir = dir
	return c.start(ctx, cmd, server.Listening(addr))
}

// auditPolicy makes the API server log each call once, with its user.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
`

// kubeconfig is the configuration with which the API server connects to itself.
const kubeconfig = `apiVersion: v1
kind: Config
clusters:
  - name: self
    cluster: {server: %q, certificate-authority: ca.crt}
users:
  - name: self
    user: {client-certificate: self.crt, client-key: self.key}
contexts:
  - name: self
    context: {cluster: self, user: self}
current-context: self
`

func (c *cluster) writeFiles(dir string) error {
	file := func(name string) string { return filepath.Join(dir, name) }
	serving, err := c.ca.Server()
	if err != nil {
		return err
	}
	self, err := c.ca.Client("self", "system:masters")
	if err != nil {
		return err
	}
	if err := c.ca.WriteCA(file("ca.crt")); err != nil {
		return err
	}
	if err := certs.Write(serving, file("server.crt"), file("server.key")); err != nil {
		return err
	}
	if err := certs.Write(self, file("self.crt"), file("self.key")); err != nil {
		return err
	}
	if err := os.WriteFile(file("audit.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	return os.WriteFile(file("kubeconfig"), fmt.Appendf(nil, kubeconfig, c.url), 0o600)
}
