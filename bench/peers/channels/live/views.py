"""POST /publish?channel=NAME with a JSON event."""

import json

from channels.layers import get_channel_layer
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
async def publish(request):
    message = {"type": "event.message", "event": json.loads(request.body)}
    await get_channel_layer().group_send(request.GET["channel"], message)
    return HttpResponse(status=204)
