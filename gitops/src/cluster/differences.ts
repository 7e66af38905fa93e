/** What differs between a program or an image of the cluster and the published one; the others are unmodified. */
export const differences: Record<string, string> = {
  etcd: 'an own main starts the server: the module of its command is not served',
  pause: 'an own program: the published one is not a Go module',
  coredns: 'without the plugins of clouds and of tracing',
  'cert-manager': 'an own main wires the packages of the four commands, without the issuer of Venafi',
  'external-secrets': 'version 0.16, with the provider of Kubernetes alone and without generators',
  'gateway-plugin': 'an own plugin: the module of argoproj-labs/gatewayAPI is not served',
  argocd: 'Debian in place of Ubuntu; without Git LFS and the files of the web interface',
  envoy: 'version 1.40 of PyPI on Debian',
  postgres: 'the server of the project, with client programs of PyPI',
  prometheus: 'with the discovery of Kubernetes alone, without its web interface',
  redis: 'version 7.0 of Debian',
}
