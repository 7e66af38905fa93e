import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const below = async (root: string, path: string) => {
  await mkdir(dirname(join(root, path)), { recursive: true })
  return join(root, path)
}

/** Copies a program to a path of an image. */
export async function putProgram(root: string, from: string, path: string): Promise<void> {
  const to = await below(root, path)
  await cp(from, to)
  await chmod(to, 0o755)
}

/** Writes a file of an image that everybody may read. */
export async function putText(root: string, path: string, text: string): Promise<void> {
  await writeFile(await below(root, path), text, { mode: 0o644 })
}

/** Links a path of an image to another. */
export async function putLink(root: string, path: string, target: string): Promise<void> {
  await symlink(target, await below(root, path))
}

/** The users, the certificates of authorities and the folder for temporary files that a static program expects. */
export async function putBasics(root: string, user: string): Promise<void> {
  const [uid = '0', gid = uid] = user.split(':')
  await putText(root, '/etc/passwd', `root:x:0:0:root:/root:/\nnonroot:x:${uid}:${gid}:nonroot:/tmp:/\n`)
  await putText(root, '/etc/group', `root:x:0:\nnonroot:x:${gid}:\n`)
  await putText(root, '/etc/nsswitch.conf', 'hosts: files dns\n')
  const certificates = '/etc/ssl/certs/ca-certificates.crt'
  await cp(certificates, await below(root, certificates))
  await mkdir(join(root, 'tmp'))
  await chmod(join(root, 'tmp'), 0o1777)
}
