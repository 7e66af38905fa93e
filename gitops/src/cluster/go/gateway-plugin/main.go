// A traffic router of Argo Rollouts that writes the weights of a canary into an HTTPRoute. It stands for the plugin
// argoproj-labs/gatewayAPI, whose module no proxy serves, and covers the settings httpRoute and namespace.
package main

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

const name = "argoproj-labs/gatewayAPI"

type router struct {
	client dynamic.Interface
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  1,
			MagicCookieKey:   "ARGO_ROLLOUTS_RPC_PLUGIN",
			MagicCookieValue: "trafficrouter",
		},
		Plugins: map[string]plugin.Plugin{"RpcTrafficRouterPlugin": &rpc.RpcTrafficRouterPlugin{Impl: &router{}}},
	})
}

func (r *router) InitPlugin() types.RpcError {
	// A pod has no kubeconfig: then the account of the pod applies.
	rules, overrides := clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return rpcError(err)
	}
	r.client, err = dynamic.NewForConfig(config)
	return rpcError(err)
}

func (r *router) SetWeight(
	rollout *v1alpha1.Rollout, weight int32, _ []v1alpha1.WeightDestination,
) types.RpcError {
	return rpcError(r.setWeight(context.Background(), rollout, int64(weight)))
}

func (r *router) Type() string { return name }

// VerifyWeight has nothing to verify: the gateway reads the route itself.
func (r *router) VerifyWeight(
	*v1alpha1.Rollout, int32, []v1alpha1.WeightDestination,
) (types.RpcVerified, types.RpcError) {
	return types.NotImplemented, types.RpcError{}
}

func (r *router) UpdateHash(
	*v1alpha1.Rollout, string, string, []v1alpha1.WeightDestination,
) types.RpcError {
	return types.RpcError{}
}

func (r *router) SetHeaderRoute(*v1alpha1.Rollout, *v1alpha1.SetHeaderRoute) types.RpcError {
	return types.RpcError{ErrorString: "header routes are not supported"}
}

func (r *router) SetMirrorRoute(*v1alpha1.Rollout, *v1alpha1.SetMirrorRoute) types.RpcError {
	return types.RpcError{ErrorString: "mirror routes are not supported"}
}

func (r *router) RemoveManagedRoutes(*v1alpha1.Rollout) types.RpcError { return types.RpcError{} }

func rpcError(err error) types.RpcError {
	if err == nil {
		return types.RpcError{}
	}
	return types.RpcError{ErrorString: err.Error()}
}
