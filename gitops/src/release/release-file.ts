import { isMap, YAMLSeq } from 'yaml'
import { parse, print } from './documents.ts'
import { Refusal } from './refusal.ts'

/** `name` stands in the manifests, `newName@digest` is what runs instead. */
export type Image = { name: string; newName: string; digest: string }

/** What an environment runs. `commit` is the source it was built from; undefined before the first bump. */
export type Release = { commit: string | undefined; images: Image[] }

// The label that the image itself carries. Kustomize copies it to every workload, so a cluster tells what it runs.
const commitKey = ['commonAnnotations', 'org.opencontainers.image.revision']

const emptyFile = `# Written by \`npx nx run gitops:bump\`, \`gitops:promote\` and \`gitops:rollback\` only.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
`

/** Reads `NAME@sha256:...`; the last part of NAME is the name of the manifests. Throws a Refusal for anything else. */
export function readImage(reference: string): Image {
  const match = /^((?:[a-z0-9.-]+(?::\d+)?\/)?(?:[a-z0-9._-]+\/)*([a-z0-9._-]+))@(sha256:[0-9a-f]{64})$/.exec(reference)
  const [, newName, name, digest] = match ?? []
  if (newName === undefined || name === undefined || digest === undefined) {
    throw new Refusal(`${reference} does not fix an image: give it as NAME@sha256: and 64 hexadecimal digits`)
  }
  return { name, newName, digest }
}

/** Reads a whole commit id. Throws a Refusal for anything else, because what is short today is ambiguous tomorrow. */
export function readCommit(id: string): string {
  if (!/^[0-9a-f]{40}$/.test(id)) throw new Refusal(`${id} is not a whole commit id: give all 40 digits`)
  return id
}

/** Reads the file of a release. Throws a Refusal when it is not one. */
export function readRelease(text: string | undefined, path: string): Release {
  if (text === undefined) return { commit: undefined, images: [] }
  const document = parse(text, path)
  const commit = document.getIn(commitKey)
  const images = (document.toJS() as { images?: unknown }).images ?? []
  if (!Array.isArray(images) || !images.every(isImage) || !(commit === undefined || typeof commit === 'string')) {
    throw new Refusal(`${path} is not the file of a release: restore it from its history`)
  }
  return { commit, images: images.map(({ name, newName, digest }) => ({ name, newName, digest })) }
}

function isImage(value: unknown): value is Image {
  const image = value as Partial<Record<keyof Image, unknown>> | null
  return [image?.name, image?.newName, image?.digest].every((part) => typeof part === 'string')
}

/** The file with `release` in it, and everything else as it was. */
export function writeRelease(text: string | undefined, path: string, { commit, images }: Release): string {
  const document = parse(text ?? emptyFile, path)
  const found = document.get('images')
  const list = found instanceof YAMLSeq ? found : new YAMLSeq()
  if (list !== found) document.set('images', list)
  list.items = images.map((image) => {
    const item = list.items.find((it) => isMap(it) && it.get('name') === image.name)
    if (!isMap(item)) return document.createNode(image)
    item.set('newName', image.newName)
    item.set('digest', image.digest)
    return item
  })
  if (commit === undefined) document.delete('commonAnnotations')
  else document.setIn(commitKey, commit)
  return print(document)
}

/** Whether two releases run the very same images, built from the same commit. */
export function sameRelease(a: Release, b: Release): boolean {
  return a.commit === b.commit && sameImages(a, b)
}

/** Whether two releases run the very same images. */
export function sameImages(a: Release, b: Release): boolean {
  const list = ({ images }: Release) => images.map(describe).sort().join(' ')
  return list(a) === list(b)
}

/** `NAME@sha256:...`, as a container runtime takes it. */
export function describe({ newName, digest }: Image): string {
  return `${newName}@${digest}`
}
