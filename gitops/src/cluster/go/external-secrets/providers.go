package register

// The providers of the clouds take most of the time of a build, and no cluster of the tests reaches a cloud.
import _ "github.com/external-secrets/external-secrets/pkg/provider/kubernetes"
