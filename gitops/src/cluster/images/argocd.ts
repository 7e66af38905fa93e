/** The image of Argo CD. */
import { chmod, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { versionOf } from '../pins.ts'
import { program, sourceFolder } from '../programs.ts'
import type { Image } from './build.ts'
import { putLink, putProgram, putText } from './files.ts'
import { debianLayer } from './root-file-system.ts'

const argocdCommands = [
  'server',
  'repo-server',
  'cmp-server',
  'application-controller',
  'dex',
  'notifications',
  'applicationset-controller',
  'k8s-auth',
  'commit-server',
]
const argocdPackages = ['git', 'tini', 'ca-certificates', 'gpg', 'gpg-agent', 'tzdata', 'openssh-client']

/** As the Dockerfile of Argo CD builds it, without Git LFS and the files of the web interface. */
export const argocdImage = (): Image => ({
  name: `quay.io/argoproj/argocd:v${versionOf('argocd')}`,
  config: {
    User: '999',
    Entrypoint: ['/usr/bin/tini', '--'],
    WorkingDir: '/home/argocd',
    Env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'USER=argocd',
      'GRPC_ENABLE_TXT_SERVICE_CONFIG=false',
    ],
  },
  below: async () => [await debianLayer(argocdPackages)],
  fill: fillArgocd,
})

async function fillArgocd(root: string): Promise<void> {
  const sources = await sourceFolder('argocd')
  for (const name of ['argocd', 'helm', 'kustomize']) {
    await putProgram(root, await program(name), `/usr/local/bin/${name}`)
  }
  for (const name of argocdCommands) await putLink(root, `/usr/local/bin/argocd-${name}`, 'argocd')
  for (const script of ['hack/gpg-wrapper.sh', 'hack/git-verify-wrapper.sh', 'entrypoint.sh']) {
    await putProgram(root, join(sources, script), `/usr/local/bin/${script.replace('hack/', '')}`)
  }
  await putText(root, '/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nargocd:x:999:999::/home/argocd:/bin/sh\n')
  await putText(root, '/etc/group', 'root:x:0:\nargocd:x:999:\n')
  await putText(root, '/app/config/ssh/ssh_known_hosts', '')
  await putLink(root, '/etc/ssh/ssh_known_hosts', '/app/config/ssh/ssh_known_hosts')
  for (const folder of ['/app/config/tls', '/app/config/gpg/source', '/app/config/gpg/keys', '/home/argocd']) {
    await mkdir(join(root, folder), { recursive: true })
    await chown(join(root, folder), 999, 0)
  }
  await chmod(join(root, '/app/config/gpg/keys'), 0o700)
}
